"""OData filter expressions: syntax, types, and explanations of errors. Pure."""
