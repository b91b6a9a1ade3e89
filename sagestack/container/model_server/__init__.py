"""The model server: SageMaker's container contract over a user's handler functions.

settings   what the environment variables say
user_code  the user's module: where it comes from, its requirements
handlers   model_fn, input_fn, predict_fn, output_fn, transform_fn and their defaults
codecs     the content types that the defaults read and write
app        /ping, /invocations, /execution-parameters
server     socket, worker processes, life and end
xgboost_handlers   what the image of XGBoost has by default

Source of the semantics: aws/sagemaker-scikit-learn-container and
aws/sagemaker-inference-toolkit. Imports the standard library, numpy, scipy, uvicorn and,
only for code that lies in S3, boto3.
"""
