"""Logins of browsers by OpenID Connect: what the provider is asked, and what of its answers is believed."""
