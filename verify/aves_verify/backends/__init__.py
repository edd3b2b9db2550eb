"""The ways to run an encoder: fairseq itself, TorchAudio, ONNX Runtime, and a recording of one of them.

``backend`` has the protocol and one file each implements it. The libraries are imported when a backend is loaded.
"""
