"""The whole way from a request to a report and a patch, one function for each step."""
