"""ExampleGen over pictures: MNIST's idx files, image folders, zips of them."""
