"""Networks beside the checkpoint: LoRA and its relatives, embeddings, hypernetworks, VAE files.

``files``        which files there are, by the names that prompts use
``content``      what a file says: tensors, notes, hash
``kinds``        the relatives of LoRA: from a layer's parts to the change of its weight
``naming``       from a file's keys to the layers of a model
``lora``         a file as changes by layer
``patcher``      weights with changes on top, and back to the bit
``embedding_file``, ``embedding_image``, ``hypernetwork``, ``vae``  the other formats
``shelf``        puts on a model what a prompt asks for
"""
