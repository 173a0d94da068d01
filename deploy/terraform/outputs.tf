output "admin_password" {
  description = "Password of Airflow's user admin"
  value       = random_password.generated["admin"].result
  sensitive   = true
}

output "api_server" {
  description = "Command that brings Airflow's web page to this machine"
  value       = "kubectl -n viaduct port-forward service/airflow-api-server 8080:8080"
}
