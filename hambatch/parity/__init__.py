"""Whether decoders, backends and precisions say the same of the same images, and how nearly."""
