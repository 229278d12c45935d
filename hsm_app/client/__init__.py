"""The client library: what a messenger or a backup tool calls, and what `hsm-vault client` and `backup` are made of.

from hsm_app.client.blocking import Vault          # or client.vault.AsyncVault
from hsm_app.client.config import read_client_settings, vault_config

vault = Vault(vault_config(read_client_settings(Path("client.toml"))))
vault.register(code, key)
"""
