"""Files of tensors: reading torch's formats lazily and without torch, and writing them and safetensors.

A tensor here is a numpy view that is read when it is asked for. Nothing here knows what a HuBERT is.
"""
