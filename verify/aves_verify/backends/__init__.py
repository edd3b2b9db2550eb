"""The ways to run an encoder: fairseq itself, TorchAudio, ONNX Runtime, OpenVINO, and a recording of one of them.

``backend`` has the protocol and the table; ``separate`` runs most of them in processes of their own, where their
libraries are imported. Other packages add to the table.
"""
