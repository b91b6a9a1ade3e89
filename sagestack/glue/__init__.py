"""Glue: the Data Catalog and Python-shell jobs, one file per kind of resource."""
