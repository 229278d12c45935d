"""The program that plays a ceremony: its journal on disk, the room, the tokens, and what is published afterwards."""
