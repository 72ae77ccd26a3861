"""How a scene is divided into what the model sees at once, and how tiles become planes."""
