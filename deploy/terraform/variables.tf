variable "kubeconfig" {
  description = "Path of the kubeconfig file of the cluster"
  type        = string
  default     = "~/.kube/config"
}

variable "context" {
  description = "Context of the kubeconfig to use; null for the current one"
  type        = string
  default     = null
}

variable "image" {
  description = "Image built from deploy/Dockerfile, with registry and tag or digest"
  type        = string
}
