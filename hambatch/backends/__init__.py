"""TODOX"""
