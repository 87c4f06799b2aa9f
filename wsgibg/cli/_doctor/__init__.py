"""What an application's tasks meet under its own server, measured."""
