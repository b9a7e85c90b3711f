"""What the page can do, one file each: from a person's file and a network to an answer."""
