"""Files of tensors: torch's formats read lazily without torch, and written; safetensors written.

A tensor here is a numpy view that is read when it is asked for. Nothing here knows what a HuBERT is.
"""
