"""What script mode finds in AWS's XGBoost image: data, encoders, several hosts.

Source: aws/sagemaker-xgboost-container, src/sagemaker_xgboost_container.
"""
