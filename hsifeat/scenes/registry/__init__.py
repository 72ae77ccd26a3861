"""Public scenes by name: one file of facts each, where their files lie here, how they get here, how they are loaded."""

from hsifeat.scenes.registry.models import PublicScene, read_facts

__all__ = ["REGISTRY", "PublicScene"]

REGISTRY: dict[str, PublicScene] = read_facts()
