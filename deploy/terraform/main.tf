# Viaduct on a Kubernetes cluster that exists: passwords, Secrets, then the manifests of deploy/kubernetes.
terraform {
  required_version = ">= 1.5"
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 2.31"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.6"
    }
  }
}

provider "kubernetes" {
  config_path    = var.kubeconfig
  config_context = var.context
}

locals {
  folder = "${path.module}/../kubernetes"
  files  = ["storage", "postgres", "settings", "airflow", "model-server", "dashboards"]

  # Several documents in a file; each becomes one resource, addressed by kind and name.
  documents = flatten([
    for file in local.files : [
      for text in split("\n---\n", file("${local.folder}/${file}.yaml")) : yamldecode(replace(text, "viaduct:0.1.0", var.image))
    ]
  ])
  manifests = { for document in local.documents : "${document.kind}/${document.metadata.name}" => document }

  database = "postgres.${kubernetes_namespace.viaduct.metadata[0].name}.svc"
}

resource "kubernetes_namespace" "viaduct" {
  metadata {
    name   = "viaduct"
    labels = { "pod-security.kubernetes.io/enforce" = "baseline" }
  }
}

resource "random_password" "generated" {
  for_each = toset(["postgres", "airflow_db", "viaduct_db", "admin", "api", "jwt"])
  length   = 32
  special  = false
}

# A Fernet key is 32 random bytes in URL-safe base64.
resource "random_bytes" "fernet" {
  length = 32
}

resource "kubernetes_secret" "viaduct" {
  metadata {
    name      = "viaduct"
    namespace = kubernetes_namespace.viaduct.metadata[0].name
  }
  data = {
    "postgres-password"   = random_password.generated["postgres"].result
    "airflow-db-password" = random_password.generated["airflow_db"].result
    "viaduct-db-password" = random_password.generated["viaduct_db"].result
    "admin-password"      = random_password.generated["admin"].result
  }
}

resource "kubernetes_secret" "environment" {
  metadata {
    name      = "viaduct-environment"
    namespace = kubernetes_namespace.viaduct.metadata[0].name
  }
  data = {
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN = "postgresql+psycopg2://airflow:${random_password.generated["airflow_db"].result}@${local.database}:5432/airflow"
    VIADUCT_METADATA                    = "postgresql://viaduct:${random_password.generated["viaduct_db"].result}@${local.database}:5432/viaduct"
    AIRFLOW__CORE__FERNET_KEY           = replace(replace(random_bytes.fernet.base64, "+", "-"), "/", "_")
    AIRFLOW__API__SECRET_KEY            = random_password.generated["api"].result
    AIRFLOW__API_AUTH__JWT_SECRET       = random_password.generated["jwt"].result
  }
}

resource "kubernetes_manifest" "viaduct" {
  for_each   = local.manifests
  manifest   = each.value
  depends_on = [kubernetes_secret.viaduct, kubernetes_secret.environment]
}
