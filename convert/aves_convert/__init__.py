"""From one format to the next: fairseq checkpoint, TorchAudio state dict, ONNX graph."""
