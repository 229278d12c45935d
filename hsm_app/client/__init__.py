"""The client library: what a messenger or a backup tool calls, and what `hsm-vault client` and `backup` are made of.

from hsm_app.client.config import read_client_settings
from hsm_app.client.device import Device

device = Device(read_client_settings(Path("client.toml")), say=print)
device.vault(device.new_home()).register(code, key)    # or AsyncVault(device.config(fleet)), with asyncio
recovery, fleet = device.recover(code)
"""
