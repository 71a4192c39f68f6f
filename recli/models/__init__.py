"""The models, one file each, in folders by what is learned; `catalog` names them, `store` saves what they yield."""
