module selfhosted.kubernetes/artifacts/volume-tester

go 1.26.0
