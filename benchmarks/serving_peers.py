"""What benchmarks/serving.py runs in processes of their own: a naive gRPC servicer, and gRPC clients.

python benchmarks/serving_peers.py naive FOLDER PORT    an asyncio gRPC servicer as one writes it
python benchmarks/serving_peers.py clients ADDRESS FILE SECONDS CONCURRENCY    gRPC clients
"""

import asyncio
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


async def naive(folder, port):
    """grpc.aio, make_ndarray, eager signature, make_tensor_proto."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    loaded = tf.saved_model.load(folder)
    call = loaded.signatures["serving_default"]

    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
        async def Predict(self, request, context):  # noqa: N802 - gRPC's name
            inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            outputs = call(**inputs)
            response = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return response

    server = grpc.aio.server()
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def clients(address, file, seconds, concurrency):
    """Sends one serialized PredictRequest over and over; prints requests/s and percentiles in milliseconds."""
    import grpc

    body = Path(file).read_bytes()
    async with grpc.aio.insecure_channel(address) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        await predict(body, wait_for_ready=True, timeout=60)
        times = []
        end = time.perf_counter() + float(seconds)

        async def one():
            while time.perf_counter() < end:
                start = time.perf_counter()
                await predict(body)
                times.append(time.perf_counter() - start)

        start = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(int(concurrency))))
        took = time.perf_counter() - start
    times.sort()
    p50, p95, p99 = (1000 * times[int(len(times) * q)] for q in (0.5, 0.95, 0.99))
    print(len(times) / took, p50, p95, p99)


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    asyncio.run({"naive": naive, "clients": clients}[what](*words))
