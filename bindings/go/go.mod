module happysock

go 1.19
