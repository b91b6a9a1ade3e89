"""The only code that imports LocalStack."""
