module selfhosted.kubernetes/artifacts/pause

go 1.26.0
