"""Pictures that are the same but for their encoding: by a hash and a second look."""
