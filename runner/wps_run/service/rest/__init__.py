"""The REST side of the embedded service: a request's target and body to an answer."""
