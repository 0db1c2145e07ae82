"""OData filter expressions: parsing and evaluation."""
