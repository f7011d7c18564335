#!/bin/sh
# The pictures of the docs: `make pictures`.
set -e
cd "$(dirname "$0")/../.."
anymax explain "softmax(x: 3, '[classes]')" --svg docs/pictures/one-sample.svg
anymax explain "softmax(x: 2,3, 'batch [classes]')" --svg docs/pictures/batch.svg
anymax explain "softmax(x: 2,2,4, 'batch time [classes]')" --svg docs/pictures/transformer.svg
anymax explain "softmax(x: 2,3,4, 'batch [classes] length')" --svg docs/pictures/convolution.svg
anymax explain "softmax(x: 2,3,2,2, 'batch [classes] height width')" --svg docs/pictures/segmentation.svg
anymax explain "softmax(x: 2,2,2,3, 'batch points [height width]')" --svg docs/pictures/heat-maps.svg
anymax explain "softmax(x: 1,2,3,3, 'batch heads queries [keys]')" --svg docs/pictures/attention.svg
anymax explain "softmax(x: 4,1, 'batch [score]')" --svg docs/pictures/one-score.svg
anymax explain "softmax(x: 2,3, '[batch] classes')" --svg docs/pictures/over-the-batch.svg
python examples/estimators_figure.py --svg docs/pictures/estimators.svg
