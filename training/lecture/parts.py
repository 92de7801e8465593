"""The parts of the lecture, in the order of the page."""

from training.lecture import count_models, neural_models, vectors
from training.lecture.embedding_map import embedding_map
from training.lecture.part import Part
from training.lecture.pretraining import pretraining
from training.lecture.rating import ratings

PARTS: tuple[Part, ...] = (
    Part("trigram", 0, count_models.LIKELIHOOD.run),
    Part("trigram-add-k", 0, count_models.ADD_K.run),
    Part("trigram-interpolated", 0, count_models.INTERPOLATED.run),
    Part("trigram-by-count", 0, count_models.BUCKETED.run),
    Part("kneser-ney-3", 0, count_models.KNESER_NEY[3].run),
    Part("kneser-ney-5", 0, count_models.KNESER_NEY[5].run),
    Part("neural-direct", 4, neural_models.DIRECT.run),
    Part("neural", 5, neural_models.INDIRECT.run),
    Part("neural-convolutional", 4, neural_models.CONVOLUTIONAL.run),
    Part("recurrent", 5, neural_models.RECURRENT.run),
    Part("recurrent-by-classes", 5, neural_models.CLASS_FACTORED.run),
    Part("lstm", 0, neural_models.shipped),
    Part("embeddings-in-a-plane", 0, embedding_map),
    Part("skip-gram", 2, vectors.skip_gram),
    Part("ranking", 4 / 3, vectors.ranking),
    Part("pretraining", 8, pretraining),  # starts from what the two before it leave
    Part("ratings", 2, ratings),
)
