"""A fairseq checkpoint: its settings, its architecture, and the names that fairseq gives to tensors.

Reads checkpoints, and refuses what cannot be expressed. A new dropped tensor or a new fairseq name belongs in
``hubert_keys``; a new setting of the model in ``settings`` and ``architecture``.
"""
