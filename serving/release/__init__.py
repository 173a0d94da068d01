"""Release control: a new version earns its traffic step by step, and loses it by itself. `README.md` tells how."""
