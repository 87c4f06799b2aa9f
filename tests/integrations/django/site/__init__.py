"""The application of the tests' project."""
