"""Mixed traffic at saturation: whether Voiceworks stays bounded, flat and fair, and how soon it is idle again."""
