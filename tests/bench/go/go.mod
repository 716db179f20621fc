module genserver/bench

go 1.19
