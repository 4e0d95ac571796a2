"""The audit log: who did what to the gateway, and whom the gateway refused; a chain that shows changes."""
