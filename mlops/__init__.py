"""MLOps level 0: a person runs scripts, one step at a time, and looks at what came out."""
