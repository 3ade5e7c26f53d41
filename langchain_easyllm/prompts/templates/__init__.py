"""The templates of model families that no table can express, a module each."""
