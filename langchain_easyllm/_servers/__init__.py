"""What each server can do, which server it is, and the session with it."""
