"""The toolkit that followed sagemaker_containers in training, as far as scripts use it.

Source: aws/sagemaker-training-toolkit, README.md.
"""
