"""What every service stands on: broker, database, HTTP, tokens, logs. Not one business word in it."""
