"""Photographs and semantic maps: reading COCO, the toy world, batches."""
