# A checkpoint as an image, for Kubernetes to mount. The build's context is the checkpoint's folder:
# docker build -f docker/model.Dockerfile --build-arg NAME=starter -t darkroom-model:starter models/starter
FROM scratch
ARG NAME
COPY . /${NAME}
