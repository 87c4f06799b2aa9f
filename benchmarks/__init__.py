"""The in-process benchmark of wsgibg against its peers; `README.md` says how to run and read it."""
