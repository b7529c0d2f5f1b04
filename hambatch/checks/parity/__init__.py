"""Whether decoders, backends and precisions agree on the same images, and how nearly."""
