"""What type checkers say of code that uses the package; `make type` checks it."""
