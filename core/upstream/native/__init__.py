"""Upstreams that speak OData batch themselves: many calls as one `$batch` request there, and its answer taken apart."""
