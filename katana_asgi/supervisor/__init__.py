"""The parent process: starts, watches, replaces and ends workers; never imports the application."""
