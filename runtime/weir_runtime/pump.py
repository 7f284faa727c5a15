"""The one loop of the engine process."""
